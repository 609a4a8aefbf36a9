"""The screen: what is printed, files that a user names, how failures and interruptions are told."""
