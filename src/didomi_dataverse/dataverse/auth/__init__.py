"""Access tokens of Microsoft Entra for the Web API."""
