"""`python -m didomi_dataverse` is the command `didomi-dataverse`."""

from didomi_dataverse.cli.main import main

if __name__ == "__main__":
    main()
