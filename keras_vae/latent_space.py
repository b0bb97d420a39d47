"""Where the codes of a posterior and of a prior are: the two must agree."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class LatentSpace:
    """The set of values that a code can take.

    Args:
        kind: what a code is, such as "real vectors".
        sizes: the numbers that belong to it, such as that of the classes.

    Example: `LatentSpace("one-hot vectors", (10,))`.
    """

    kind: str
    sizes: tuple[int, ...] = ()

    def __str__(self) -> str:
        return " ".join([self.kind, *(["of sizes", str(self.sizes)] if self.sizes else [])])


REAL = LatentSpace("real vectors")
SPHERE = LatentSpace("unit vectors")
