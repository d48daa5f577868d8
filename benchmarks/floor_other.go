//go:build !linux

package main

func startFloor() (string, error)         { return "", errNoFloor }
func startSpinningFloor() (string, error) { return "", errNoFloor }
