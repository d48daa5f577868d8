package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// reportCommand makes a page of results that were kept.
func reportCommand(args []string, out, log io.Writer) error {
	flags := flag.NewFlagSet("benchmarks report", flag.ContinueOnError)
	flags.SetOutput(log)
	path := flags.String("o", "", "file for the page; by default that of the first results, with .html")
	flags.Usage = func() {
		fmt.Fprint(log, "Makes one HTML page of results that were kept.\n\n  go run . report [-o PAGE] FILE.jsonl...\n\nflags:\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return fmt.Errorf("report: want one or more files of results")
	}
	var runs []*results
	for _, name := range flags.Args() {
		r, err := readResults(name)
		if err != nil {
			return err
		}
		runs = append(runs, r)
	}
	if *path == "" {
		*path = pageOf(flags.Arg(0))
	}
	if err := writePage(*path, runs); err != nil {
		return err
	}
	fmt.Fprintln(out, *path)
	return nil
}

// pageOf is where the page of a file of results goes.
func pageOf(results string) string {
	return strings.TrimSuffix(results, filepath.Ext(results)) + ".html"
}

func writePage(path string, runs []*results) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := writeSheet(f, runs); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
