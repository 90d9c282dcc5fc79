"""The commands, one module a noun: parse, wire, call one library function, render, exit."""
