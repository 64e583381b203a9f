"""Limits on what a model file may unpack to, and on the parts that the guard looks at."""

# A repeated byte shrinks 1000 times under deflate, trained weights at most a few times.
MAX_RATIO = 200
# Below this size nothing that unpacks is worth refusing: all-zero weights of small layers exist.
FREE_BYTES = 16 << 20
# Unpacked size of all members of an archive, or of all datasets of an HDF5 file.
MAX_UNPACKED_BYTES = 16 << 30
# What unpacks to more than a few times its size is looked at up to here: in seconds.
MAX_INFLATED_BYTES, FEW_TIMES = 1 << 30, 20
# Weights of an archive; a sharded model has one for each 10 GiB.
MAX_WEIGHT_FILES = 100
# Of a JSON configuration; parsed it takes ten times as much memory.
MAX_CONFIG_BYTES = 32 << 20
# Objects and lists in it; the deepest of keras.applications has a tenth.
MAX_CONFIG_OBJECTS, MAX_CONFIG_LISTS = 200_000, 1_000_000
# Central directory of a ZIP archive; 46 bytes and a name are one member.
MAX_DIRECTORY_BYTES = 4 << 20
# Files of a SavedModel's folder.
MAX_PARTS = 100_000
# Index of a checkpoint: a hundred bytes and a name a variable.
MAX_CHECKPOINT_INDEX_BYTES = 256 << 20
# Protocol buffers end at 2 GiB; ten times its size is what a parsed graph takes.
MAX_GRAPH_BYTES = (2 << 30) - 1
# Tensors that are not in a .tflite file but that a run allocates.
MAX_ARENA_BYTES = 4 << 30
# Graphs of a .tflite file that call each other: a runtime prepares one by recursion, once for each
# way that leads to it. Converters nest loops and branches a few deep.
MAX_CALL_DEPTH, MAX_CALLS = 64, 10_000
# One constant that a SavedModel stores as a single repeated value.
MAX_CONSTANT_BYTES = 1 << 30
# Reading the structure of an HDF5 file takes milliseconds; a crooked one can hold libhdf5 forever.
# Of the processor: to begin with, and for each object, which takes a tenth of that.
HDF5_CPU_SECONDS = 0.75
HDF5_OBJECT_SECONDS = 0.001
# What waits and does not compute, as for a disk that has gone.
HDF5_WAIT_SECONDS = 60.0
HDF5_MEMORY_MB = 768.0
# Groups and datasets: the deepest of keras.applications has ten thousand, an optimizer's state
# doubles that.
MAX_HDF5_OBJECTS = 40_000
