"""One member of the search cluster.

    PORT=5001 SHARD=1/3 python member.py
    PORT=5002 SHARD=2/3 python member.py
    PORT=5003 SHARD=3/3 python member.py
    curl 'http://127.0.0.1:5001/search?q=generator'

``PORT=0`` takes any free port; the log says which.
"""

import os

if __name__ == "__main__":
    import skitai

    skitai.mount("/", "member_app.py")
    skitai.run(port=int(os.environ.get("PORT", 5001)), threads=16)
