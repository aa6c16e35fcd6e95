"""Jobs from acceptance to receipt: their messages are checked, recorded and forwarded."""
