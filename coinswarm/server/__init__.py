"""A local Cloudflare: the REST API of D1 and Queues over the stores on this machine."""
