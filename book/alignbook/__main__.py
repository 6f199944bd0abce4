"""``python -m alignbook`` builds the book."""

if __name__ == "__main__":  # the processes that execute notebooks need not import the builder
    from alignbook.build import main

    main()
