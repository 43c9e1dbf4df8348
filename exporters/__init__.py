"""The borders to other people's formats; each is found through an entry point."""
