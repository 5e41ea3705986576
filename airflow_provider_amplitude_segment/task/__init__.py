"""The glue between an operator and core: read the parameters, open the ports, publish the result."""
