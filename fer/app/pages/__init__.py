"""The pages of the app; each module has `page() -> None`."""
