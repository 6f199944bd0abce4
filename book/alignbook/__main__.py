"""``python -m alignbook`` builds the book."""

if __name__ == "__main__":  # the processes that execute notebooks need not import the builder
    import sys
    from pathlib import Path

    from alignbook.certificate import page_of_unchanged

    # Before the builder, which takes seconds to import.
    page = None if sys.argv[1:] else page_of_unchanged(Path(__file__).resolve().parents[2])
    if page is not None:
        print(f"Open {page.as_uri()}")
    else:
        from alignbook.build import main

        main()
