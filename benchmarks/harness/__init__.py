"""The parts of ``benchmarks/run.py``: contenders, processes, load, idle connections and the report."""
