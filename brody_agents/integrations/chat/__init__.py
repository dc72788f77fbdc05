"""Chat: the protocol of an account that messages are posted to, and folders of this machine."""
