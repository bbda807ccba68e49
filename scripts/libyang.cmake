# Settings for the CMake build of libyang (.cargo/config.toml names this file).
#
# Where libxxhash-dev is installed libyang takes xxhash for its hash tables, and nothing tells the linker of the Rust
# program. Without it libyang uses its own hash, on every machine.
set(CMAKE_DISABLE_FIND_PACKAGE_XXHash TRUE)
