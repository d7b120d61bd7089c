"""`python -m scripts.cli` is `millrace`, for processes that start others with the interpreter they run on."""

from scripts.cli.app import main

if __name__ == "__main__":
    main()
