"""``python -m duologue``."""

from duologue.adapters.cli import main

if __name__ == "__main__":
    main()
