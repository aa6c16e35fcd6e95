"""The administrator's account that each service's `seed` command makes."""

from django.contrib.auth import get_user_model


def ensure_admin(name: str, password: str) -> None:
    """Create the account, or give it all rights and this password; harmless to repeat.

    Without a name or without a password there is nothing to do: no account is made that anybody
    could log in to.
    """
    if not name or not password:
        return
    users = get_user_model()._default_manager
    user, _ = users.get_or_create(username=name)
    user.is_staff = user.is_superuser = user.is_active = True
    if not user.check_password(password):
        user.set_password(password)
    user.save()
