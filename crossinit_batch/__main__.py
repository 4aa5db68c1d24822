"""`python -m crossinit_batch` is the same program as `crossinit`."""

from crossinit_batch.cli import main

if __name__ == "__main__":
    main()
