"""What a stack costs on Cloudflare: forecast from its configuration, or from what was metered."""
