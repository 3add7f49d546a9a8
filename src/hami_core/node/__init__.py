"""The node side: what is here, who holds it, and what a container needs to use its share."""
