"""The sign-in service: one Microsoft Entra tenant, its app registrations and its tokens."""
