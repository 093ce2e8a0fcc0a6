package config

// Weir is the section for what is Weir's own. A field's oneof tag lists the values it
// may have, and a file tag marks those that name a file.
type Weir struct {
	Replica           string      `yaml:"replica,omitempty" doc:"Id of this replica, unique in the fleet; host name and process number by default"`
	Pool              string      `yaml:"pool,omitempty" doc:"Name of the pool; replicas of one pool share a ledger"`
	Pools             []Pool      `yaml:"pools,omitempty" doc:"Several pools, instead of pool, endpoints and discovery: requests go to one by the model that they name"`
	InferencePools    string      `yaml:"inferencePools,omitempty" doc:"Pools from Kubernetes, beside those of pools: the InferencePools that a label selector takes, as NAMESPACE/SELECTOR, or */SELECTOR for those of all namespaces. They come and go with their objects"`
	Listen            string      `yaml:"listen,omitempty" doc:"Address for requests"`
	Admin             string      `yaml:"admin,omitempty" doc:"Address for metrics, health and debugging"`
	AdminTokenFile    string      `yaml:"adminTokenFile,omitempty" file:"yes" doc:"File with the token that the address for operators asks for, but by probes; read at each request. None by default"`
	AccessLog         string      `yaml:"accessLog,omitempty" doc:"Which requests get a line of JSON on standard output: off, refused, all, or sample:PART such as sample:0.01"`
	MetricsNames      string      `yaml:"metricsNames,omitempty" oneof:"weir|llm-d|both" doc:"Names of the metrics of flow control: weir's, llm-d's (llm_d_epp_...), or both"`
	PProf             bool        `yaml:"pprof,omitempty" doc:"Serve profiles of the process at the address for operators"`
	TLS               TLS         `yaml:"tls,omitempty" doc:"TLS on the address for requests"`
	ExtProc           ExtProc     `yaml:"extProc,omitempty" doc:"Envoy's external processing"`
	Endpoints         []Endpoint  `yaml:"endpoints,omitempty" doc:"The model servers"`
	Discovery         Discovery   `yaml:"discovery,omitempty" doc:"Where the model servers come from, instead of endpoints"`
	Metrics           Metrics     `yaml:"metrics,omitempty" doc:"The model servers' own metrics, for detectors that read them"`
	Shadow            bool        `yaml:"shadow,omitempty" doc:"Hold and refuse nothing: play flow control beside what runs, and count what it would have done. A reload turns it off and on"`
	MaxBody           Quantity    `yaml:"maxBody,omitempty" doc:"Largest request body, in bytes"`
	MaxHeaderBytes    Quantity    `yaml:"maxHeaderBytes,omitempty" doc:"Most that the headers of a request may have, names and values, in bytes; a proxy before Weir may have a bound of its own, such as Envoy's of 60 KiB. By HTTP/2, headers beyond 64 KiB, or this if it is more, end their connection"`
	MemoryBudget      Quantity    `yaml:"memoryBudget,omitempty" doc:"Memory, in bytes, for requests that are being read or wait, beyond which the flow that holds most is refused; half of GOMEMLIMIT or of the control group's limit by default"`
	Timeouts          Timeouts    `yaml:"timeouts,omitempty" doc:"How long a request may hold its slots"`
	DrainTimeout      *Duration   `yaml:"drainTimeout,omitempty" doc:"How long requests may go on after SIGTERM"`
	Store             Store       `yaml:"store,omitempty" doc:"The ledger that replicas share"`
	Fleet             Fleet       `yaml:"fleet,omitempty" doc:"How replicas find each other"`
	Objectives        []Objective `yaml:"objectives,omitempty" doc:"Priorities by the name that the objective header carries"`
	Flows             []Flow      `yaml:"flows,omitempty" doc:"Settings of flows; the first that matches holds"`
	Bands             []BandShare `yaml:"bands,omitempty" doc:"What priorities are guaranteed of the pool, and by which weights they share the rest of it"`
	BandPolicy        string      `yaml:"bandPolicy,omitempty" doc:"How priorities share what is not guaranteed: strict (the higher goes first), weighted (by the weights in weir.bands), or the name or type of a plug-in; strict by default"`
	Groups            []Group     `yaml:"groups,omitempty" doc:"Groups of flows, which share a priority by their weights; a flow is in the one whose name its id begins with, before a slash, or that its setting names"`
	StrictGroups      bool        `yaml:"strictGroups,omitempty" doc:"Have every flow and pattern in weir.flows, and every API key, be of a group"`
	MaxFlows          int         `yaml:"maxFlows,omitempty" doc:"Flows of a priority that are told apart; those beyond share one"`
	CachedTokenWeight *float64    `yaml:"cachedTokenWeight,omitempty" doc:"What a prompt token costs that the server had in a cache, as a part of one that it had not; 0.1 by default"`
	Identity          Identity    `yaml:"identity,omitempty" doc:"How a request's flow is known"`
	Newcomers         Newcomers   `yaml:"newcomers,omitempty" doc:"Flows without a setting and without an API key that share one in the time after their first request; off by default"`
}

// Newcomers says how long flows that are not known share one.
type Newcomers struct {
	For    *Duration `yaml:"for,omitempty" doc:"How long after its first request a flow is a newcomer, such as 60s; none is by default"`
	Weight *float64  `yaml:"weight,omitempty" doc:"Share of all newcomers together, beside flows of weight 1; 1 by default"`
}

// TLS names a server's certificate.
type TLS struct {
	Cert string `yaml:"cert,omitempty" file:"yes" doc:"Certificate file of the address for requests; with its key it speaks TLS. Read again when it changes"`
	Key  string `yaml:"key,omitempty" file:"yes" doc:"Key file of that certificate"`
}

// ExtProc says where Envoy's external processing is served.
type ExtProc struct {
	Listen string `yaml:"listen,omitempty" doc:"Address for Envoy's external processing, such as 127.0.0.1:9002, which is the default with a picker or with admissionOnly; none otherwise"`
	Cert   string `yaml:"cert,omitempty" file:"yes" doc:"Certificate file of external processing; with its key it speaks TLS"`
	Key    string `yaml:"key,omitempty" file:"yes" doc:"Key file of that certificate"`

	Picker        Picker `yaml:"picker,omitempty" doc:"Another Endpoint Picker, which chooses the endpoints of what comes by external processing: Weir holds each request until it may go, and plays the exchange through to it"`
	AdmissionOnly bool   `yaml:"admissionOnly,omitempty" doc:"Name no endpoint to Envoy: let requests go, once they may, wherever it sends them"`

	PoolHeader    string `yaml:"poolHeader,omitempty" doc:"Header whose value names the pool of a request, where there are several: Envoy must set it, whatever clients send. Without a value the model names it"`
	PoolAttribute string `yaml:"poolAttribute,omitempty" doc:"Attribute that Envoy sends with a request and whose value names its pool, such as xds.route_name; the header comes first"`

	Fallbacks int `yaml:"fallbacks,omitempty" doc:"Endpoints named beside the one picked, for Envoy's override_host policy; 0 by default, as clusters of type ORIGINAL_DST need it"`
}

// Picker is another Endpoint Picker.
type Picker struct {
	Addresses          []string  `yaml:"addresses,omitempty" doc:"Host and port of a picker, such as epp.default.svc:9002; requests are spread over those that are well"`
	TLS                bool      `yaml:"tls,omitempty" doc:"Speak TLS to the pickers"`
	CA                 string    `yaml:"ca,omitempty" file:"yes" doc:"File with the CA that signs the pickers' certificates; the system's by default"`
	Cert               string    `yaml:"cert,omitempty" file:"yes" doc:"File of the certificate shown to the pickers, where they ask for one"`
	Key                string    `yaml:"key,omitempty" file:"yes" doc:"Key file of that certificate"`
	ServerName         string    `yaml:"serverName,omitempty" doc:"Name that the pickers' certificates must have; that of the address by default"`
	InsecureSkipVerify bool      `yaml:"insecureSkipVerify,omitempty" doc:"Take the pickers' certificates unseen, as pickers that make their own need it"`
	FailOpen           bool      `yaml:"failOpen,omitempty" doc:"Choose the endpoint here where no picker does, instead of answering 503"`
	Timeout            *Duration `yaml:"timeout,omitempty" doc:"How long pickers may take in all until one has answered a whole request; 5s by default"`
}

// Endpoint is a model server.
type Endpoint struct {
	URL string `yaml:"url" doc:"Scheme, host and port, such as http://10.0.0.7:8000"`
}

// Discovery says where model servers come from.
type Discovery struct {
	File          string    `yaml:"file,omitempty" file:"yes" doc:"YAML file of model servers: a list of name, address, port, labels and metricsHost; read again when it changes"`
	Once          bool      `yaml:"once,omitempty" doc:"Read file at the start only"`
	DNS           string    `yaml:"dns,omitempty" doc:"Host name and port, such as vllm.default.svc:8000, whose addresses are the model servers"`
	DNSInterval   *Duration `yaml:"dnsInterval,omitempty" doc:"How often the name is resolved"`
	InferencePool string    `yaml:"inferencePool,omitempty" doc:"NAMESPACE/NAME of a Kubernetes InferencePool: its pods are the model servers, and its InferenceObjectives the priorities"`
	Kubeconfig    string    `yaml:"kubeconfig,omitempty" file:"yes" doc:"Kubeconfig file for the InferencePool; the pod's service account by default"`
}

// Metrics says how model servers' metrics are read.
type Metrics struct {
	Interval           *Duration `yaml:"interval,omitempty" doc:"How often each endpoint is read"`
	Server             string    `yaml:"server,omitempty" oneof:"vllm|sglang|trtllm-serve|triton-tensorrt-llm|tensorrt-llm|triton|llamacpp" doc:"Whose names hold for those below, at endpoints that do not say by a label which engine they run"`
	EngineLabel        string    `yaml:"engineLabel,omitempty" doc:"Label of an endpoint that names its engine; llm-d.ai/engine-type by default"`
	Scheme             string    `yaml:"scheme,omitempty" oneof:"http|https" doc:"Scheme of the endpoints' metrics; that of the endpoint by default"`
	Path               string    `yaml:"path,omitempty" doc:"Path of the endpoints' metrics; /metrics by default"`
	Port               int       `yaml:"port,omitempty" doc:"Port of the endpoints' metrics; that of the endpoint by default"`
	InsecureSkipVerify bool      `yaml:"insecureSkipVerify,omitempty" doc:"Take the certificates of the endpoints' metrics unseen"`
	Waiting            string    `yaml:"waiting,omitempty" doc:"Name of the metric that counts waiting requests; {label=value} after it takes its series with that label only"`
	Running            string    `yaml:"running,omitempty" doc:"Name of the metric that counts running requests"`
	KVCacheUsage       string    `yaml:"kvCacheUsage,omitempty" doc:"Name of the metric of the KV cache in use, from 0 to 1"`
	LoRA               string    `yaml:"lora,omitempty" doc:"Name of the metric whose labels are the LoRA adapters, as vLLM has it"`
}

// Store says where the ledger is.
type Store struct {
	Redis        string    `yaml:"redis,omitempty" doc:"URL of the Redis that replicas share, such as redis://127.0.0.1:6379; without it the ledger is in this process's memory"`
	PasswordFile string    `yaml:"passwordFile,omitempty" file:"yes" doc:"File with Redis's password, read at each connection; without it WEIR_REDIS_PASSWORD is taken"`
	Cert         string    `yaml:"cert,omitempty" file:"yes" doc:"File of the certificate shown to Redis, where it asks for one; the URL is rediss://"`
	Key          string    `yaml:"key,omitempty" file:"yes" doc:"Key file of that certificate"`
	CA           string    `yaml:"ca,omitempty" file:"yes" doc:"File with the CA that signs Redis's certificate; the system's by default"`
	Prefix       string    `yaml:"prefix,omitempty" doc:"Start of every key in Redis"`
	Lease        *Duration `yaml:"lease,omitempty" doc:"How long a replica that says nothing keeps its place in the ledger"`
	KeepLost     *Duration `yaml:"keepLost,omitempty" doc:"How long requests in flight stay counted at most of a replica that went silent without a sign that they ended, as a frozen machine does; twice as long as any took of late otherwise"`
	OnOutage     string    `yaml:"onOutage,omitempty" oneof:"share|hold" doc:"While Redis is out of reach: share (go on within this replica's share of the limit) or hold"`
}

// Fleet says how replicas find each other.
type Fleet struct {
	Name          string   `yaml:"name,omitempty" doc:"Name of the fleet: gossip under another one is ignored"`
	Gossip        string   `yaml:"gossip,omitempty" doc:"Address for gossip with other replicas, such as 10.0.0.1:7946; without it this replica queues what comes in by it"`
	Peer          string   `yaml:"peer,omitempty" doc:"Address for ticket streams from other replicas"`
	Advertise     string   `yaml:"advertise,omitempty" doc:"IP address by which other replicas reach this one; by default the one of gossip"`
	Join          []string `yaml:"join,omitempty" doc:"Gossip addresses to join by; a host name stands for all its addresses"`
	GossipKeyFile string   `yaml:"gossipKeyFile,omitempty" file:"yes" doc:"File with the fleet's key: it encrypts gossip and ticket streams, and replicas prove by it that they are of the fleet; base64 of 16, 24 or 32 bytes"`
	PeerCert      string   `yaml:"peerCert,omitempty" file:"yes" doc:"Certificate file for ticket streams; with its key and the CA streams are TLS, and both ends show one. Without the fleet's key it must name the replica's id as a DNS name"`
	PeerKey       string   `yaml:"peerKey,omitempty" file:"yes" doc:"Key file of that certificate"`
	PeerCA        string   `yaml:"peerCA,omitempty" file:"yes" doc:"File with the CA that signs the replicas' certificates"`
	Insecure      bool     `yaml:"insecure,omitempty" doc:"Take gossip and ticket streams from other machines without a key: whoever reaches the ports can then join the fleet and read what waits"`
}

// Timeouts bound how long a request may hold its slots.
type Timeouts struct {
	Client       *Duration `yaml:"client,omitempty" doc:"How long a client may take nothing of what is there for it; 30s by default"`
	FirstByte    *Duration `yaml:"firstByte,omitempty" doc:"How long a model server may take until its answer begins; 10m by default"`
	BetweenBytes *Duration `yaml:"betweenBytes,omitempty" doc:"How long a model server may pause within its answer; 2m by default"`
	Request      *Duration `yaml:"request,omitempty" doc:"How long a request may take in all once it was dispatched; 1h by default"`
}

// Objective is a named priority.
type Objective struct {
	Name     string   `yaml:"name" doc:"What the x-llm-d-inference-objective header says"`
	Priority int      `yaml:"priority" doc:"Its priority"`
	Timeouts Timeouts `yaml:"timeouts,omitempty" doc:"What holds for its requests instead of weir.timeouts"`
}

// Flow is what holds for some flows.
type Flow struct {
	ID       string  `yaml:"id" doc:"A flow's id, or a pattern of ids in which * stands for anything"`
	Weight   float64 `yaml:"weight,omitempty" doc:"Share for its policy; 1 by default"`
	Scope    string  `yaml:"scope,omitempty" oneof:"pool|fleet" doc:"What its share is of: each pool by itself, unless fleet is given: then one over all pools of the store, so that a tenant that spreads over pools gains nothing"`
	Group    string  `yaml:"group,omitempty" doc:"Name of its group, whatever its id"`
	Priority *int    `yaml:"priority,omitempty" doc:"Priority of its requests that name no objective"`

	Objectives  []string `yaml:"objectives,omitempty" doc:"Objectives that it may name; another one counts as none. Any by default"`
	MaxPriority *int     `yaml:"maxPriority,omitempty" doc:"Highest priority of its requests, whatever they name; none by default"`

	MaxInFlight     int64   `yaml:"maxInFlight,omitempty" doc:"Requests of one flow that may be in flight in the fleet, over its priorities together; 0 or unset: no limit of its own"`
	TokensPerMinute float64 `yaml:"tokensPerMinute,omitempty" doc:"Tokens that one flow's requests may cost, prompts and answers; what is not used is saved up for a minute; 0 or unset: no limit"`
	OverLimit       string  `yaml:"overLimit,omitempty" oneof:"wait|reject" doc:"What happens to what is over these limits: it waits unless reject is given"`
}

// Group is a group of flows, such as a tenant or a team of one.
type Group struct {
	Name       string  `yaml:"name" doc:"Its name, after those of the groups that it is in, with slashes between, such as acme/research"`
	Weight     float64 `yaml:"weight,omitempty" doc:"Share beside the groups that are in the same one, of those with requests that wait; 1 by default. Flows in none share one group of weight 1"`
	Scope      string  `yaml:"scope,omitempty" oneof:"pool|fleet" doc:"What its share is of: each pool by itself, unless fleet is given: then one over all pools of the store"`
	Guaranteed Share   `yaml:"guaranteed,omitempty" doc:"What it gets of the pool at least while requests in it wait, over all priorities and with the groups in it, such as 30%: in slots times time; nothing by default"`
	Maximum    Maximum `yaml:"maximum,omitempty" doc:"What it may have of the pool at most, over all priorities and with the groups in it: a part such as 50%, or how many requests in flight; none by default"`
}

// BandShare is a priority's part of the pool.
type BandShare struct {
	Priority   int     `yaml:"priority" doc:"The priority"`
	Weight     float64 `yaml:"weight,omitempty" doc:"What it gets of the pool beside other priorities that wait, where bandPolicy is weighted: in slots times time; 1 by default"`
	Guaranteed Share   `yaml:"guaranteed,omitempty" doc:"What it gets of the pool at least while its requests wait, such as 20%, whatever higher priorities want: in slots times time; nothing by default"`
}

// Identity says how a request's flow is known.
type Identity struct {
	APIKeys string `yaml:"apiKeys,omitempty" file:"yes" doc:"File of API keys: a YAML list of sha256 (hex), flow, group, weight, priority, objectives, maxPriority. The fairness header from outside is then dropped, and an unknown key gets 401"`
}
