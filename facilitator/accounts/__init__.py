"""Authentication of users: logins, tokens, and the host names that logins must be made for."""
