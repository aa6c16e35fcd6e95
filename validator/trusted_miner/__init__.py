"""The validator's private miner: runs jobs whose results are believed."""
