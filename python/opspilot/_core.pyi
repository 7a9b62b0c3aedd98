# The compiled module (python/bindings). Names are typed where the package wraps them; whatever is taken from here is Any.
from typing import Any

def __getattr__(name: str) -> Any: ...
