"""The control routes, `/_sandbox/…`, by which tests look into the sandbox and steer it."""
