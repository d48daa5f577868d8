//go:build !linux

package main

func startFloorHub(int) (string, error) { return "", errNoFloor }
