"""How large what strangers give may be: their files, their programs, and what these cost.

Each bound is held before the time or the memory is spent, and what is beyond it is refused
with an error that names it. Bounds of our own work, such as how many candidates a search
tries, stand where that work is done.
"""

from __future__ import annotations

# Files

MAX_MODEL_BYTES = 256 * 2**20
"""Bytes of a model's file: on disk, unpacked, and in memory."""

MAX_NETWORK_BYTES = 2**30
"""Bytes of the file of a network of another architecture, and of its weights in memory."""

MAX_NETWORK_LAYERS = 1_000
"""Layers of a network of another architecture."""

MAX_CONFIG_BYTES = 2**20
"""Bytes of a configuration beside the weights."""

MAX_MODEL_WEIGHTS = 50_000_000
"""Weights of a model that is read, and of one that a program is compiled to."""

MAX_LAYERS = 24
"""Layers of a model that is read."""

MAX_EMBEDDING_ROWS = 1_000
"""Rows of W_E, and of W_pos, of a model that is read."""

MAX_TENSORS = 20_000
"""Tensors of a model's file: far more layers than are read."""

MAX_AXES = 8
"""Axes of a tensor: they are multiplied out before anything is allocated."""

MAX_HEADER_BYTES = 16 * 2**20
"""Bytes of the header of a safetensors file."""

MAX_DOCUMENT = 8 * 2**20
"""Characters of the JSON document within a model's file."""

MAX_ENCLOSED_SOURCE = 20_000
"""Characters of a program that a model's file holds and `untracr run` reads."""

MAX_JSON_DIGITS = 400
"""Digits of a whole number in JSON; it must fit a float besides."""

MAX_TASK_BYTES = 8 * 2**20
"""Bytes of a task file, and of a tokenizer's vocabulary."""

MAX_CERTIFICATE_BYTES = 8 * 2**20
"""Bytes of a certificate."""

MAX_CERTIFICATE_TOKENS = 1_000
"""Tokens of a certificate's vocabulary: as many as a model that is read may have rows."""

MAX_CERTIFICATE_POSITIONS = 1_000
"""The longest input of a certificate, in tokens."""

MAX_CERTIFICATE_OTHERS = 200
"""Other programs that a certificate lists."""

MAX_CERTIFICATE_WORDS = 4_000
"""Characters of a name, a version or a sentence of a certificate."""

MAX_CERTIFICATE_NODES = 120
"""Operations and selectors of a certificate's program: more than one that is decompiled can
have."""

MAX_CHECKPOINT_BYTES = 256 * 2**20
"""Bytes of a checkpoint of the meta-model: a network a hundred times the released one."""

MAX_CHECKPOINT_WIDTH = 4_096
"""Width of a checkpoint's network."""

MAX_CHECKPOINT_LAYERS = 256
"""Layers of a checkpoint's network."""

MAX_CHECKPOINT_HEADS = 256
"""Heads of a layer of a checkpoint's network."""

MAX_CHECKPOINT_COUNT = 10**15
"""Steps, examples or seconds that a checkpoint may tell of."""

MAX_SHARD_BYTES = 2**30
"""Bytes of a shard of a data set, unpacked."""

MAX_SHARD_ROWS = 10_000_000
"""Rows of a shard."""

MAX_DATASET_JSON = 256 * 2**20
"""Bytes of a JSON file of a data set: a manifest takes some two hundred for each shard."""

MAX_MANIFEST_COUNT = 10**12
"""The largest count in a manifest: of programs, of rows, of what is counted."""

MAX_MANIFEST_BYTES = 2**50
"""The largest size of a file that a manifest may tell."""

MAX_MANIFEST_TOKENS = 100
"""Tokens of a data set's vocabulary, positions of an input, and operations of a program."""

MAX_REFERENCES_BYTES = 64 * 2**20
"""Bytes of a list of programs to compare answers with."""

MAX_REPORT_BYTES = 256 * 2**20
"""Bytes of an earlier report."""

# Text of programs

MAX_SOURCE = 1_000_000
"""Characters of a program's text."""

MAX_DEPTH = 100
"""How deeply expressions may nest: Python's own parser and ours go down by recursion."""

MAX_FORMULA_LENGTH = 4_000
"""Characters of a function, or of a predicate, that merging two of them may give."""

MAX_MERGED = 1_000_000
"""Characters and entries of all functions that are merged in one program."""

MAX_TABULATED = 200_000
"""Combinations of arguments on which one function of a live Tracr object is called."""

MAX_PROGRAM_NODES = 1_000
"""Operations and selectors of a program that is compiled or checked."""

# Values of programs

MAX_BITS = 4_096
"""Bits of a whole number, written or worked out."""

MAX_POWER = 64
"""The largest exponent, in size."""

MAX_TEXT = 1_000
"""Characters of a text."""

MAX_PARTS = 100
"""Tuples and values in one tuple, itself and nested ones counted."""

MAX_VALUE_BITS = 1_023
"""Bits of a whole number that weights are made for: a float can hold it."""

MAX_NUMBER = 1e12
"""The largest number that may be a token, or that a variable read off weights may take."""

MAX_VARIABLE_VALUES = 100_000
"""Values that one variable of a program to be compiled may take."""

# What running a network costs

MAX_RUN_NUMBERS = 2**27
"""Numbers that one input may take at a time while a network runs: half a GiB."""

MAX_TRACE_BYTES = 2 * 2**30
"""Bytes that a trace of a network keeps, and those of all logits of one call."""

MAX_SHOWN_NUMBERS = 2**22
"""Numbers of attention patterns and logits that are shown at a time."""

# What running a program costs

MAX_CALLED_FUNCTION = 4_000
"""Characters of a function that is called."""

MAX_FUNCTION_CALLS = 3_000_000
"""Calls of functions in one run, long ones counted as several: some seconds."""

MAX_FILLED_CELLS = 500_000_000
"""Cells of all arrays of one run, [input, query, key] or [input, position]: some seconds."""

MAX_NEW_VALUES = 100_000_000
"""Characters and parts of all new values of one step."""

MAX_SELECTOR_CELLS = 100_000_000
"""Cells of one selector, [input, query, key]."""
