"""The admin listener (--admin-bind): health, metrics, status and the status page, for reading only.

It runs in the supervisor, so it answers while every gateway process and every worker is busy or
hung, and can say so.
"""
