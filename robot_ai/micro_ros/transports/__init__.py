"""How messages reach the agent: UDP, TCP and serial lines, all served by one loop."""
