"""The services that listen or schedule. They are independent of each other."""
