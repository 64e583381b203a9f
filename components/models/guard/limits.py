"""How much a model file may unpack to, and how many parts the guard looks at."""

# A repeated byte shrinks 1000 times under deflate, trained weights at most a few times.
MAX_RATIO = 200
# Below this size nothing that unpacks is worth refusing: all-zero weights of small layers exist.
FREE_BYTES = 16 << 20
# Unpacked size of all members of an archive, or of all datasets of an HDF5 file.
MAX_UNPACKED_BYTES = 16 << 30
# Of a JSON configuration; parsed it takes ten times as much memory.
MAX_CONFIG_BYTES = 32 << 20
# Central directory of a ZIP archive; 46 bytes and a name are one member.
MAX_DIRECTORY_BYTES = 4 << 20
# Groups and datasets of an HDF5 file, files of a SavedModel's folder.
MAX_PARTS = 100_000
# Protocol buffers end at 2 GiB; ten times its size is what a parsed graph takes.
MAX_GRAPH_BYTES = (2 << 30) - 1
# Tensors that are not in a .tflite file but that a run allocates.
MAX_ARENA_BYTES = 4 << 30
# One constant that a SavedModel stores as a single repeated value.
MAX_CONSTANT_BYTES = 1 << 30
# Reading the structure of an HDF5 file takes milliseconds; a crooked one can hold libhdf5 forever.
HDF5_SECONDS = 4.0
HDF5_MEMORY_MB = 768.0
