# Completes kosearch's commands, options and values. Made by `python tests/completion_making.py`.
# Copy it into ~/.config/fish/completions/.

function __kosearch_names
    env COMP_WORDS="kosearch index --$argv[1] " COMP_CWORD=3 _KOSEARCH_COMPLETE=complete_bash kosearch 2>/dev/null
end

complete -c kosearch -f
complete -c kosearch -n __fish_use_subcommand -a index -d 'Make files and folders searchable'
complete -c kosearch -n __fish_use_subcommand -a query -d 'Find the passages that answer a question, best first'
complete -c kosearch -n __fish_use_subcommand -a show -d 'Print a passage with the lines around it'
complete -c kosearch -n __fish_use_subcommand -a open -d 'Open a hit of this terminal\'s last question, at its page or line'
complete -c kosearch -n __fish_use_subcommand -a pick -d 'Search while you type: open a hit with Enter, or mark several with Tab and print their paths'
complete -c kosearch -n __fish_use_subcommand -a status -d 'Print documents, passages, model, size on disk and the last run'
complete -c kosearch -n __fish_use_subcommand -a remove -d 'Take files and folders out of the index'
complete -c kosearch -n __fish_use_subcommand -a extract -d 'Print a file\'s text as kosearch reads it'
complete -c kosearch -n __fish_use_subcommand -a eval -d 'Measure how well the search answers known questions'
complete -c kosearch -n __fish_use_subcommand -a serve -d 'Keep models and indexes loaded, so that answers come at once'
complete -c kosearch -n __fish_use_subcommand -a mcp -d 'Let agents search: an MCP server on stdin and stdout'
complete -c kosearch -n __fish_use_subcommand -a check -d 'Verify every row and file of an index'
complete -c kosearch -n __fish_use_subcommand -a repair -d 'Make a damaged index whole again'
complete -c kosearch -n __fish_use_subcommand -a docs -d 'Print a page of the documentation; without a topic, list them'
complete -c kosearch -n __fish_use_subcommand -a completions -d 'Print what completes commands in a shell; its head says where to put it'
complete -c kosearch -n __fish_use_subcommand -a indexes -d 'List your indexes, or keep, move or remove one'
complete -c kosearch -n __fish_use_subcommand -a models -d 'List the models that can be had, or fetch, check or remove one'
complete -c kosearch -n __fish_use_subcommand -l version -d 'Print the version and exit'
complete -c kosearch -n __fish_use_subcommand -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from index' -F
complete -c kosearch -n '__fish_seen_subcommand_from index' -l include -x -d 'Only files that match, in this run and later ones'
complete -c kosearch -n '__fish_seen_subcommand_from index' -l exclude -x -d 'No files that match, in this run and later ones'
complete -c kosearch -n '__fish_seen_subcommand_from index' -l archives -d 'Read the documents in archives too (.zip, .tar, .gz, …)'
complete -c kosearch -n '__fish_seen_subcommand_from index' -s i -l index -x -a '(__kosearch_names index; __fish_complete_directories)' -d 'Which index: a name, or a folder'
complete -c kosearch -n '__fish_seen_subcommand_from index' -l here -d 'Index this folder into .kosearch in it: both move, and are found, together'
complete -c kosearch -n '__fish_seen_subcommand_from index' -l retry -d 'Try again what could not be read'
complete -c kosearch -n '__fish_seen_subcommand_from index' -l reread -d 'Read every file again, changed or not'
complete -c kosearch -n '__fish_seen_subcommand_from index' -l ocr -x -a 'auto off force' -d 'Read scanned pages and pictures; force: every page'
complete -c kosearch -n '__fish_seen_subcommand_from index' -l max-file-size -x -d 'Skip larger files'
complete -c kosearch -n '__fish_seen_subcommand_from index' -l passage-tokens -x -d 'The most tokens of a passage; set when an index is made'
complete -c kosearch -n '__fish_seen_subcommand_from index' -l passage-overlap -x -d 'Tokens repeated from the passage before'
complete -c kosearch -n '__fish_seen_subcommand_from index' -s m -l model -x -a '(__kosearch_names model; __fish_complete_directories)' -d 'The embedding model: bundled, a hub name, a folder, or openai:NAME'
complete -c kosearch -n '__fish_seen_subcommand_from index' -l endpoint -x -d 'Where a model such as openai:NAME answers'
complete -c kosearch -n '__fish_seen_subcommand_from index' -l dimensions -x -d 'Only the first N numbers of vectors'
complete -c kosearch -n '__fish_seen_subcommand_from index' -l device -x -a 'auto cpu cuda mps' -d 'Where to embed; on several GPUs: cuda:0,cuda:1'
complete -c kosearch -n '__fish_seen_subcommand_from index' -l storage -x -a 'float16 int8' -d 'What vectors are kept in; set when an index is made'
complete -c kosearch -n '__fish_seen_subcommand_from index' -l into -x -d 'Make another index of what this one holds, without reading files: with --model, say'
complete -c kosearch -n '__fish_seen_subcommand_from index' -l pull -d 'Download the model named by --model'
complete -c kosearch -n '__fish_seen_subcommand_from index' -l trust-remote-code -d 'Run the Python code that the model\'s architecture needs, from now on'
complete -c kosearch -n '__fish_seen_subcommand_from index' -l strict -d 'End with 6 when a file was skipped'
complete -c kosearch -n '__fish_seen_subcommand_from index' -l wait -d 'Wait for another writer instead of ending'
complete -c kosearch -n '__fish_seen_subcommand_from index' -l json -d 'Print one JSON object'
complete -c kosearch -n '__fish_seen_subcommand_from index' -s q -l quiet -d 'Print no progress and no notes'
complete -c kosearch -n '__fish_seen_subcommand_from index' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from query' -s k -x -d 'How many hits'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l path -x -d 'Only documents whose path matches'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l type -x -a 'adoc asciidoc calendar code csv doc docx eml epub excel htm html hwp hwpml hwpx ics image ipynb json latex mail markdown mbox md mhtml msg notebook odf odp ods odt org pdf powerpoint ppt pptx rst rtf subtitles tar tex text txt vcard vcf vsdx word xls xlsx xml xps zip' -d 'Only this type: pdf, markdown, …'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l after -x -d 'Only documents dated then or later'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l before -x -d 'Only documents dated then or earlier'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l mode -x -a 'hybrid dense lexical' -d 'What decides'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l weight -x -d 'Meaning\'s share of a hybrid score'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l min-score -x -d 'Only hits with at least this cosine'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l rerank -x -d 'Score the N best again by the model\'s further heads (BGE-M3)'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l exact -d 'The words as typed: no other forms, no synonyms, no corrections'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l group -d 'Only each document\'s best passage'
complete -c kosearch -n '__fish_seen_subcommand_from query' -s C -l context -x -d 'Show N lines around each passage'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l explain -d 'Show each side\'s score and rank'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l json -d 'Print one JSON object'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l jsonl -d 'Print one JSON object a hit, one a line'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l brief -d 'Print one JSON object with excerpts only, for agents'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l max-bytes -x -d 'The most that --brief prints'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l offset -x -d 'Leave out the first N hits, with --brief'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l paths -d 'Print each hit\'s file name, once'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l format -x -d 'Print each hit so: \'{path}:{line}: {excerpt}\'; --format help lists the fields'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l vimgrep -d 'Print path:line:column:text, for editors\' lists of places'
complete -c kosearch -n '__fish_seen_subcommand_from query' -s 0 -d 'End file names with NUL, for xargs -0'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l batch -r -F -d 'Ask every line of FILE; the model loads once'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l refresh -x -d 'Index what changed before, if it takes at most so long; 0: never'
complete -c kosearch -n '__fish_seen_subcommand_from query' -s i -l index -x -a '(__kosearch_names index; __fish_complete_directories)' -d 'Which index: a name, or a folder; several are asked as one'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l all -d 'Ask all of your indexes as one'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l device -x -a 'auto cpu cuda mps' -d 'Where to embed; on several GPUs: cuda:0,cuda:1'
complete -c kosearch -n '__fish_seen_subcommand_from query' -l no-resident -d 'Answer in this process, and start no warm one'
complete -c kosearch -n '__fish_seen_subcommand_from query' -s q -l quiet -d 'Print no progress and no notes'
complete -c kosearch -n '__fish_seen_subcommand_from query' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from show' -s C -l context -x -d 'Lines before and after'
complete -c kosearch -n '__fish_seen_subcommand_from show' -s i -l index -x -a '(__kosearch_names index; __fish_complete_directories)' -d 'Which index: a name, or a folder'
complete -c kosearch -n '__fish_seen_subcommand_from show' -l json -d 'Print one JSON object'
complete -c kosearch -n '__fish_seen_subcommand_from show' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from open' -l print -d 'Print the command instead of running it'
complete -c kosearch -n '__fish_seen_subcommand_from open' -s q -l quiet -d 'Print no progress and no notes'
complete -c kosearch -n '__fish_seen_subcommand_from open' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from pick' -s i -l index -x -a '(__kosearch_names index; __fish_complete_directories)' -d 'Which index: a name, or a folder'
complete -c kosearch -n '__fish_seen_subcommand_from pick' -l device -x -a 'auto cpu cuda mps' -d 'Where to embed; on several GPUs: cuda:0,cuda:1'
complete -c kosearch -n '__fish_seen_subcommand_from pick' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from status' -l problems -d 'List every file that is not searchable, with the reason'
complete -c kosearch -n '__fish_seen_subcommand_from status' -s i -l index -x -a '(__kosearch_names index; __fish_complete_directories)' -d 'Which index: a name, or a folder'
complete -c kosearch -n '__fish_seen_subcommand_from status' -l json -d 'Print one JSON object'
complete -c kosearch -n '__fish_seen_subcommand_from status' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from remove' -F
complete -c kosearch -n '__fish_seen_subcommand_from remove' -s i -l index -x -a '(__kosearch_names index; __fish_complete_directories)' -d 'Which index: a name, or a folder'
complete -c kosearch -n '__fish_seen_subcommand_from remove' -l wait -d 'Wait for another writer instead of ending'
complete -c kosearch -n '__fish_seen_subcommand_from remove' -s q -l quiet -d 'Print no progress and no notes'
complete -c kosearch -n '__fish_seen_subcommand_from remove' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from extract' -F
complete -c kosearch -n '__fish_seen_subcommand_from extract' -l archives -d 'Read the documents in an archive'
complete -c kosearch -n '__fish_seen_subcommand_from extract' -l ocr -x -a 'auto off force' -d 'Read scanned pages and pictures; force: every page'
complete -c kosearch -n '__fish_seen_subcommand_from extract' -l json -d 'Print one JSON object'
complete -c kosearch -n '__fish_seen_subcommand_from extract' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from eval' -F
complete -c kosearch -n '__fish_seen_subcommand_from eval' -l compare -x -d 'Side by side, the first as the baseline: dense, lexical, hybrid, rrf, rerank, or models'
complete -c kosearch -n '__fish_seen_subcommand_from eval' -l mode -x -a 'hybrid dense lexical' -d 'What decides'
complete -c kosearch -n '__fish_seen_subcommand_from eval' -l weight -x -d 'Meaning\'s share of a hybrid score'
complete -c kosearch -n '__fish_seen_subcommand_from eval' -l failures -x -d 'Show N questions whose first hit is wrong'
complete -c kosearch -n '__fish_seen_subcommand_from eval' -l qrels -r -F -d 'COLLECTION is TREC topics, judged by FILE'
complete -c kosearch -n '__fish_seen_subcommand_from eval' -l run -r -F -d 'Write what was found as a TREC run'
complete -c kosearch -n '__fish_seen_subcommand_from eval' -l plot -r -F -d 'Draw recall against k, as SVG'
complete -c kosearch -n '__fish_seen_subcommand_from eval' -s m -l model -x -a '(__kosearch_names model; __fish_complete_directories)' -d 'The embedding model: bundled, a hub name, a folder, or openai:NAME'
complete -c kosearch -n '__fish_seen_subcommand_from eval' -l endpoint -x -d 'Where a model such as openai:NAME answers'
complete -c kosearch -n '__fish_seen_subcommand_from eval' -l device -x -a 'auto cpu cuda mps' -d 'Where to embed; on several GPUs: cuda:0,cuda:1'
complete -c kosearch -n '__fish_seen_subcommand_from eval' -l passage-tokens -x -d 'The most tokens of a passage'
complete -c kosearch -n '__fish_seen_subcommand_from eval' -s i -l index -x -a '(__kosearch_names index; __fish_complete_directories)' -d 'Which index: a name, or a folder'
complete -c kosearch -n '__fish_seen_subcommand_from eval' -l json -d 'Print one JSON object'
complete -c kosearch -n '__fish_seen_subcommand_from eval' -s q -l quiet -d 'Print no progress and no notes'
complete -c kosearch -n '__fish_seen_subcommand_from eval' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from serve' -s d -l detach -d 'Start it in the background, and return'
complete -c kosearch -n '__fish_seen_subcommand_from serve' -l stop -d 'End those that run'
complete -c kosearch -n '__fish_seen_subcommand_from serve' -l status -d 'List those that run; ends with 1 when none does'
complete -c kosearch -n '__fish_seen_subcommand_from serve' -l watch -d 'Keep the index up to date while files change; ends only when told to'
complete -c kosearch -n '__fish_seen_subcommand_from serve' -l install -d 'Have the system start one that watches when you log in'
complete -c kosearch -n '__fish_seen_subcommand_from serve' -l idle -x -d 'End after so long without a question'
complete -c kosearch -n '__fish_seen_subcommand_from serve' -s i -l index -x -a '(__kosearch_names index; __fish_complete_directories)' -d 'Which index: a name, or a folder'
complete -c kosearch -n '__fish_seen_subcommand_from serve' -l device -x -a 'auto cpu cuda mps' -d 'Where to embed; on several GPUs: cuda:0,cuda:1'
complete -c kosearch -n '__fish_seen_subcommand_from serve' -l json -d 'Print one JSON object'
complete -c kosearch -n '__fish_seen_subcommand_from serve' -s q -l quiet -d 'Print no progress and no notes'
complete -c kosearch -n '__fish_seen_subcommand_from serve' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from mcp' -s i -l index -x -a '(__kosearch_names index; __fish_complete_directories)' -d 'Which index: a name, or a folder'
complete -c kosearch -n '__fish_seen_subcommand_from mcp' -l device -x -a 'auto cpu cuda mps' -d 'Where to embed; on several GPUs: cuda:0,cuda:1'
complete -c kosearch -n '__fish_seen_subcommand_from mcp' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from check' -s i -l index -x -a '(__kosearch_names index; __fish_complete_directories)' -d 'Which index: a name, or a folder'
complete -c kosearch -n '__fish_seen_subcommand_from check' -s q -l quiet -d 'Print no progress and no notes'
complete -c kosearch -n '__fish_seen_subcommand_from check' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from repair' -s i -l index -x -a '(__kosearch_names index; __fish_complete_directories)' -d 'Which index: a name, or a folder'
complete -c kosearch -n '__fish_seen_subcommand_from repair' -l wait -d 'Wait for another writer instead of ending'
complete -c kosearch -n '__fish_seen_subcommand_from repair' -s q -l quiet -d 'Print no progress and no notes'
complete -c kosearch -n '__fish_seen_subcommand_from repair' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from docs' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from completions' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from indexes; and not __fish_seen_subcommand_from backup restore adopt rename remove move' -a backup -d 'Write an index into one new file, beside any run of indexing'
complete -c kosearch -n '__fish_seen_subcommand_from indexes; and not __fish_seen_subcommand_from backup restore adopt rename remove move' -a restore -d 'Make an index of a backup, under a name that is free'
complete -c kosearch -n '__fish_seen_subcommand_from indexes; and not __fish_seen_subcommand_from backup restore adopt rename remove move' -a adopt -d 'Take over an index that was made elsewhere'
complete -c kosearch -n '__fish_seen_subcommand_from indexes; and not __fish_seen_subcommand_from backup restore adopt rename remove move' -a rename -d 'Give an index another name'
complete -c kosearch -n '__fish_seen_subcommand_from indexes; and not __fish_seen_subcommand_from backup restore adopt rename remove move' -a remove -d 'Remove an index from the disk, after a question'
complete -c kosearch -n '__fish_seen_subcommand_from indexes; and not __fish_seen_subcommand_from backup restore adopt rename remove move' -a move -d 'Tell an index that documents went elsewhere'
complete -c kosearch -n '__fish_seen_subcommand_from indexes' -l json -d 'Print one JSON object'
complete -c kosearch -n '__fish_seen_subcommand_from indexes' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from indexes; and __fish_seen_subcommand_from backup' -F
complete -c kosearch -n '__fish_seen_subcommand_from indexes; and __fish_seen_subcommand_from backup' -s i -l index -x -a '(__kosearch_names index; __fish_complete_directories)' -d 'Which index: a name, or a folder'
complete -c kosearch -n '__fish_seen_subcommand_from indexes; and __fish_seen_subcommand_from backup' -s q -l quiet -d 'Print no progress and no notes'
complete -c kosearch -n '__fish_seen_subcommand_from indexes; and __fish_seen_subcommand_from backup' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from indexes; and __fish_seen_subcommand_from restore' -F
complete -c kosearch -n '__fish_seen_subcommand_from indexes; and __fish_seen_subcommand_from restore' -s i -l index -x -a '(__kosearch_names index; __fish_complete_directories)' -d 'Which index: a name, or a folder'
complete -c kosearch -n '__fish_seen_subcommand_from indexes; and __fish_seen_subcommand_from restore' -s q -l quiet -d 'Print no progress and no notes'
complete -c kosearch -n '__fish_seen_subcommand_from indexes; and __fish_seen_subcommand_from restore' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from indexes; and __fish_seen_subcommand_from adopt' -a '(__kosearch_names model)'
complete -c kosearch -n '__fish_seen_subcommand_from indexes; and __fish_seen_subcommand_from adopt' -s q -l quiet -d 'Print no progress and no notes'
complete -c kosearch -n '__fish_seen_subcommand_from indexes; and __fish_seen_subcommand_from adopt' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from indexes; and __fish_seen_subcommand_from rename' -a '(__kosearch_names model)'
complete -c kosearch -n '__fish_seen_subcommand_from indexes; and __fish_seen_subcommand_from rename' -s q -l quiet -d 'Print no progress and no notes'
complete -c kosearch -n '__fish_seen_subcommand_from indexes; and __fish_seen_subcommand_from rename' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from indexes; and __fish_seen_subcommand_from remove' -a '(__kosearch_names model)'
complete -c kosearch -n '__fish_seen_subcommand_from indexes; and __fish_seen_subcommand_from remove' -s y -l yes -d 'Do not ask'
complete -c kosearch -n '__fish_seen_subcommand_from indexes; and __fish_seen_subcommand_from remove' -s q -l quiet -d 'Print no progress and no notes'
complete -c kosearch -n '__fish_seen_subcommand_from indexes; and __fish_seen_subcommand_from remove' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from indexes; and __fish_seen_subcommand_from move' -F
complete -c kosearch -n '__fish_seen_subcommand_from indexes; and __fish_seen_subcommand_from move' -s i -l index -x -a '(__kosearch_names index; __fish_complete_directories)' -d 'Which index: a name, or a folder'
complete -c kosearch -n '__fish_seen_subcommand_from indexes; and __fish_seen_subcommand_from move' -l wait -d 'Wait for another writer instead of ending'
complete -c kosearch -n '__fish_seen_subcommand_from indexes; and __fish_seen_subcommand_from move' -s q -l quiet -d 'Print no progress and no notes'
complete -c kosearch -n '__fish_seen_subcommand_from indexes; and __fish_seen_subcommand_from move' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from models; and not __fish_seen_subcommand_from pull check rm export import' -a pull -d 'Download a model, or what is missing of it, into the hub\'s cache'
complete -c kosearch -n '__fish_seen_subcommand_from models; and not __fish_seen_subcommand_from pull check rm export import' -a check -d 'Compare a model\'s vectors with those it gave before, and time it'
complete -c kosearch -n '__fish_seen_subcommand_from models; and not __fish_seen_subcommand_from pull check rm export import' -a rm -d 'Remove a model from the hub\'s cache'
complete -c kosearch -n '__fish_seen_subcommand_from models; and not __fish_seen_subcommand_from pull check rm export import' -a export -d 'Write a model into one file, for a machine without a network'
complete -c kosearch -n '__fish_seen_subcommand_from models; and not __fish_seen_subcommand_from pull check rm export import' -a import -d 'Put an exported model into the hub\'s cache'
complete -c kosearch -n '__fish_seen_subcommand_from models' -l json -d 'Print one JSON object'
complete -c kosearch -n '__fish_seen_subcommand_from models' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from pull' -a '(__kosearch_names model)'
complete -c kosearch -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from pull' -s q -l quiet -d 'Print no progress and no notes'
complete -c kosearch -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from pull' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from check' -a '(__kosearch_names model)'
complete -c kosearch -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from check' -l device -x -a 'auto cpu cuda mps' -d 'Where to embed; on several GPUs: cuda:0,cuda:1'
complete -c kosearch -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from check' -l json -d 'Print one JSON object'
complete -c kosearch -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from check' -s q -l quiet -d 'Print no progress and no notes'
complete -c kosearch -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from check' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from rm' -a '(__kosearch_names model)'
complete -c kosearch -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from rm' -s q -l quiet -d 'Print no progress and no notes'
complete -c kosearch -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from rm' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from export' -a '(__kosearch_names model)'
complete -c kosearch -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from export' -F
complete -c kosearch -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from export' -s q -l quiet -d 'Print no progress and no notes'
complete -c kosearch -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from export' -s h -l help -d 'Show this message and exit'

complete -c kosearch -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from import' -F
complete -c kosearch -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from import' -s q -l quiet -d 'Print no progress and no notes'
complete -c kosearch -n '__fish_seen_subcommand_from models; and __fish_seen_subcommand_from import' -s h -l help -d 'Show this message and exit'
