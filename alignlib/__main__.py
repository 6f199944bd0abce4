"""``python -m alignlib`` is ``alignlib``."""

from alignlib.cli.main import main

if __name__ == "__main__":
    main(prog_name="alignlib")
