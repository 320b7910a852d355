"""The stages of a call, from outside: observe, decode, retry, rate limit, response, engine."""
