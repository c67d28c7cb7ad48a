"""What can be told of a Redis command without a server: its full name, whether it only reads, whether it can share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Names that are one command only together with the next word.
_OF_TWO_WORDS = """
    ACL CLIENT CLUSTER COMMAND CONFIG FUNCTION LATENCY MEMORY MODULE OBJECT PUBSUB SCRIPT SLOWLOG XGROUP XINFO
"""
_CONTAINERS = frozenset(_OF_TWO_WORDS.split())

# They change nothing, so that they may be done again. What is not sure, such as SORT (it can store), is left out.
_THAT_READ = """
    BITCOUNT BITFIELD_RO BITPOS DBSIZE DIGEST DUMP ECHO EVAL_RO EVALSHA_RO EXISTS EXPIRETIME FCALL_RO GEODIST GEOHASH
    GEOPOS GEORADIUS_RO GEORADIUSBYMEMBER_RO GEOSEARCH GET GETBIT GETRANGE HEXISTS HEXPIRETIME HGET HGETALL HKEYS HLEN
    HMGET HPEXPIRETIME HPTTL HRANDFIELD HSCAN HSTRLEN HTTL HVALS INFO KEYS LASTSAVE LCS LINDEX LLEN LPOS LRANGE MGET
    PEXPIRETIME PFCOUNT PING PTTL RANDOMKEY ROLE SCAN SCARD SDIFF SINTER SINTERCARD SISMEMBER SMEMBERS SMISMEMBER
    SORT_RO SRANDMEMBER SSCAN STRLEN SUBSTR SUNION TIME TTL TYPE XLEN XPENDING XRANGE XREAD XREVRANGE ZCARD ZCOUNT
    ZDIFF ZINTER ZINTERCARD ZLEXCOUNT ZMSCORE ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREVRANGE
    ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION
    ACL-CAT ACL-DRYRUN ACL-GETUSER ACL-LIST ACL-USERS ACL-WHOAMI CLIENT-ID CLIENT-INFO CLIENT-LIST CLUSTER-INFO
    CLUSTER-KEYSLOT CLUSTER-NODES CLUSTER-SHARDS CLUSTER-SLOTS COMMAND COMMAND-COUNT COMMAND-DOCS COMMAND-GETKEYS
    COMMAND-INFO COMMAND-LIST CONFIG-GET FUNCTION-DUMP FUNCTION-LIST FUNCTION-STATS LATENCY-HISTOGRAM LATENCY-HISTORY
    LATENCY-LATEST MEMORY-STATS MEMORY-USAGE MODULE-LIST OBJECT-ENCODING OBJECT-FREQ OBJECT-IDLETIME OBJECT-REFCOUNT
    PUBSUB-CHANNELS PUBSUB-NUMPAT PUBSUB-NUMSUB PUBSUB-SHARDCHANNELS PUBSUB-SHARDNUMSUB SCRIPT-EXISTS SLOWLOG-GET
    SLOWLOG-LEN XINFO-CONSUMERS XINFO-GROUPS XINFO-STREAM
"""
_READING = frozenset(name.replace("-", " ") for name in _THAT_READ.split())

_SUBSCRIBE = "use subscribe() of the stub"
_PIPELINE = "use pipeline(atomic=True) of the stub"
_SCRIPT = "use a script, such as eval()"
_OWN = "it would take the whole connection"

# What would change a connection that others use after it, and what to do instead.
_REFUSED = {
    **dict.fromkeys(("SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"), _SUBSCRIBE),
    **dict.fromkeys(("UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"), _SUBSCRIBE),
    **dict.fromkeys(("MULTI", "EXEC", "DISCARD"), _PIPELINE),
    **dict.fromkeys(("WATCH", "UNWATCH"), _SCRIPT),
    **dict.fromkeys(("AUTH", "HELLO"), "give auth=(user, password) to the service"),
    "SELECT": "give dbname to the service",
    **dict.fromkeys(("MONITOR", "SYNC", "PSYNC", "REPLCONF", "CLIENT REPLY", "CLIENT TRACKING"), _OWN),
    **dict.fromkeys(("QUIT", "RESET"), "connections are kept and closed by the pool"),
}

# A connection on which one of these was done is not used again.
_MARKING = frozenset(
    ("CLIENT SETNAME", "CLIENT SETINFO", "CLIENT NO-EVICT", "CLIENT NO-TOUCH", "CLIENT CACHING", "SCRIPT DEBUG")
) | frozenset(("READONLY", "READWRITE", "ASKING", "HIMPORT"))


def name_of(words: Sequence[Any]) -> str:
    """Return the name of a command in upper case, with its second word where that belongs to it: ``CONFIG GET``.

    Args:
        words: the command as it is sent, its name first, which may have a blank inside.
    """
    first = _upper(words[0])
    if first in _CONTAINERS and len(words) > 1:
        return f"{first} {_upper(words[1])}"
    return first


def is_read_only(name: str) -> bool:
    """Whether a command may be sent again when it is not known whether the first one arrived; see :func:`name_of`."""
    return name in _READING


def why_refused(name: str) -> str:
    """Return why a command cannot be sent on a connection that is shared; ``""`` when it can."""
    instead = _REFUSED.get(name)
    return f"{name} is not for a connection that requests share: {instead}" if instead else ""


def is_marking(name: str) -> bool:
    """Whether a command leaves its connection in another state than it found it."""
    return name in _MARKING or name.startswith("HIMPORT ")


def _upper(word: Any) -> str:
    text = word.decode("latin-1") if isinstance(word, bytes) else str(word)
    return " ".join(text.split()).upper()
