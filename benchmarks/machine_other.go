//go:build !unix

package main

func fileLimit() string { return "" }
