"""The server's API described in OpenAPI 3.1: what `/openapi.json` hands out and the tests hold the server to."""
