# One command per purpose. `make` alone lists them. `make ci` is what CI runs.

GO          ?= go
STATICCHECK  = $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
MODULES      = . benchmarks
UNIXES       = darwin/amd64 darwin/arm64 freebsd/amd64 netbsd/amd64 openbsd/amd64 dragonfly/amd64
LINUXES      = linux/arm64 linux/riscv64 linux/s390x linux/386
FUZZTIME    ?= 20s
N           ?= 2000

.PHONY: help test race lint cross fuzz sim sim-fresh sim-shrink sim-mutants sim-mutants-quick bench bench-compare bench-report bench-micro big faults faults-quick soak ci rest

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 14

test: ## all tests; needs Go only
	$(GO) test ./...
	cd benchmarks && $(GO) test ./...

race: ## all tests under the race detector, and with the checks of the debug build
	$(GO) test -race -short ./...
	$(GO) test -tags weirdebug -short ./...

lint: ## gofmt, go vet and staticcheck, in every module
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt -w $$unformatted"; exit 1; fi
	@set -e; for m in $(MODULES); do (cd $$m && echo "lint $$m" && $(GO) vet ./... && $(STATICCHECK) ./...); done

cross: ## build and vet, tests included, for the other systems
	@set -e; for t in $(UNIXES) $(LINUXES); do \
		echo "cross $$t"; \
		GOOS=$${t%/*} GOARCH=$${t#*/} CGO_ENABLED=0 $(GO) build ./...; \
		GOOS=$${t%/*} GOARCH=$${t#*/} CGO_ENABLED=0 $(GO) vet ./...; \
	done
	@echo "cross windows/amd64"; GOOS=windows CGO_ENABLED=0 $(GO) build ./...

fuzz: ## every fuzz target for FUZZTIME each: 20s, or so many executions, 25000x
	@set -e; $(GO) list ./... | while read p; do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep ^Fuzz || true); do \
			echo "fuzz $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x $$p; \
		done; \
	done

sim: ## N simulations from SEED on
	$(GO) test ./engine/enginetest -run '^TestSimulation$$' -count=1 -timeout 30m -seed=$(or $(SEED),1) -seeds=$(N)

sim-fresh: ## simulations of seeds that nobody has seen, for DURATION, a minute
	$(GO) test ./engine/enginetest -run '^TestSimulation$$' -count=1 -timeout 0 -for=$(or $(DURATION),60s)

sim-shrink: ## look for a smaller history that fails as SEED does, also if that ends the process
	$(GO) test ./engine/enginetest -run '^TestShrink$$' -count=1 -timeout 30m -v -shrink-seed=$(or $(SEED),1) -shrink=5m

sim-mutants: ## put known bugs back, one at a time, and name the seed that catches each; about six minutes
	$(GO) run ./internal/mutants

sim-mutants-quick: ## those that every push is checked against; about a minute
	$(GO) run ./internal/mutants -quick

bench: ## weir beside its rivals, with a report; eight minutes, QUICK=1 one, FULL=1 all of it, an hour
	cd benchmarks && $(GO) run . suite $(if $(QUICK),-quick) $(if $(FULL),-full) $(if $(OUT),-out $(OUT)) $(BENCHFLAGS)

bench-compare: ## weir here and at REF, side by side, with significance; five minutes
	@if [ -z "$(REF)" ]; then echo "make bench-compare REF=<commit>"; exit 1; fi
	cd benchmarks && $(GO) run . compare $(if $(OUT),-out $(OUT)) $(BENCHFLAGS) $(REF)

bench-report: ## the page of results that were kept: FILES=results/a.jsonl (below benchmarks/)
	@if [ -z "$(FILES)" ]; then echo "make bench-report FILES=results/echo.jsonl"; exit 1; fi
	cd benchmarks && $(GO) run . report $(if $(OUT),-o $(OUT)) $(FILES)

bench-micro: ## the benchmarks beside the code, with one, two and four processors; a minute; BENCH=pattern COUNT=5
	$(GO) test -p 1 -run '^$$' -bench '$(or $(BENCH),.)' -cpu 1,2,4 -benchtime $(or $(BENCHTIME),100ms) -count $(or $(COUNT),1) ./buffer ./poller ./session/... ./engine ./internal/...

big: ## the tests that are too big for `make test`, at full size; about three minutes
	$(GO) test ./engine -run 'Big|Volume|LongStream|IDs|Fault|Order|Backpressure' -count=1 -timeout 30m -v -big
	$(GO) test ./session/message/rpc -run Big -count=1 -timeout 30m -v -big

faults: ## inject every fault of the harness into weir's modes; about four minutes
	cd benchmarks && $(GO) run ./faults

faults-quick: ## fewer faults with wider bounds; about a minute; fails if weir does not meet a row
	cd benchmarks && $(GO) run ./faults -quick

soak: ## a mix of everything for DURATION, ten minutes; fails if anything grows or is lost; SEED= repeats one
	$(GO) run ./internal/soak -duration $(or $(DURATION),10m) $(if $(SEED),-seed $(SEED))

ci: test rest ## everything that CI checks; about twenty minutes

rest: race lint cross
	$(MAKE) sim N=300
	$(MAKE) sim-fresh DURATION=30s
	$(MAKE) sim-mutants-quick
	$(MAKE) fuzz FUZZTIME=25000x
	$(MAKE) faults-quick
