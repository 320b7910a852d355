"""The journey of one request: decode(retry(limit(judge(pool))))."""
