"""The on-call console: open alerts, their evidence and the ward, in a browser.

By the way of the data: `feed` reads the topics, `store` keeps the alerts and `ward` the devices, `desk`
joins them, `live` sends what changes, `api` and `pages` answer requests behind `guard` and `auth`, `audit`
writes down who did what.
"""
