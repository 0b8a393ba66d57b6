"""The order of steps that could all run: prices first, then what only people read, then what takes long.

Tags of an asset's or a check's step (`op_tags`), read by every executor of Dagster. They order what is ready at the
same time; dependencies alone say what waits for what.
"""

from typing import Final

PRIORITY: Final = "dagster/priority"
LATER: Final = {PRIORITY: "-1"}  # of what no price depends on
LAST: Final = {PRIORITY: "-2"}  # of what is shown only and takes minutes
