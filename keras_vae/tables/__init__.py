"""Tables: a data frame goes in, and a data frame comes out.

`Table` describes the columns, each of a kind such as `Real` or `Category`; `recipes.table_vae`
makes a `TableVAE` of a frame or a table.
"""

from keras_vae.tables.kinds import (
    Boolean,
    Category,
    Constant,
    Count,
    Date,
    Ignored,
    Kind,
    Ordinal,
    Positive,
    Real,
)
from keras_vae.tables.model import TableVAE
from keras_vae.tables.networks import TableInput, table_encoder
from keras_vae.tables.table import Table

__all__ = [
    "Boolean",
    "Category",
    "Constant",
    "Count",
    "Date",
    "Ignored",
    "Kind",
    "Ordinal",
    "Positive",
    "Real",
    "Table",
    "TableInput",
    "TableVAE",
    "table_encoder",
]
