"""`python -m voxelsmith`: the command line where the `voxelsmith` script is not on the path."""

from voxelsmith.cli import app

if __name__ == "__main__":
    app(prog_name="voxelsmith")
