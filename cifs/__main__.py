"""`cifs …`, and `python -m cifs …`."""

from cifs.memory import importing


def main() -> None:
    with importing():
        from cifs.cli import app
    app()


if __name__ == "__main__":
    main()
