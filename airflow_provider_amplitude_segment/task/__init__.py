"""What a task of an operator does around core: read parameters, open the ports, publish the result."""
