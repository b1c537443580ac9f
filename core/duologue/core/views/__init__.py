"""JSON views of a session, patches between them, and notices for applications."""
