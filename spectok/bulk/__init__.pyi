from ._partition import encode_partition
from ._read import read_tokens
from ._report import BulkReport, status
from ._run import encode

__all__ = ["BulkReport", "encode", "encode_partition", "read_tokens", "status"]
